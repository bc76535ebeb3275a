"""moto's server at a port of its own, one request at a time: python one_at_a_time.py

moto's own server takes requests at once, but its DynamoDB does not bear that: it copies the table before a transaction,
and puts the copy back if a condition fails, with it what others have written meanwhile; some it answers with 500. In
turn, conditions and transactions hold as they do on AWS.
"""

import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


def main():
    moto = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def application(environ, start_response):
        with turn:
            return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(f"moto http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
