"""template.yaml's stack on one machine, for on_lambda.py. To be read in this order:

`template` has what is played of template.yaml; `aws` is moto's server, one request at a time by `one_at_a_time`, and
`stack` is the stack in it; `emulator` runs a function's real binary; `bridge` is API Gateway and the function URL;
`installation` puts them together, and plays what calls functions without HTTP. `story` is what happens, and `afterwards`
what must hold then, of the functions' `lines` too; `steps` is how it is told.
"""
