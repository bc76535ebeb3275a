"""template.yaml as CloudFormation gets it, translated by SAM, and what of it is played."""

import os
import re
from typing import NamedTuple

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from .aws import REGION

FUNCTION = "AWS::Lambda::Function"
# What moto is given, and of some only so much. The rest says who may do what, or watches, or is played without moto:
# the API, the function URL.
GIVEN = {
    FUNCTION: ["FunctionName", "Runtime", "Handler", "MemorySize", "Timeout", "Environment", "Role"],
    # moto makes no function without one.
    "AWS::IAM::Role": ["AssumeRolePolicyDocument"],
    "AWS::DynamoDB::Table": None,
    "AWS::Events::EventBus": None,
    "AWS::Events::Rule": None,
    "AWS::KMS::Key": None,
    "AWS::Lambda::EventSourceMapping": None,
    "AWS::Logs::LogGroup": None,
    "AWS::SQS::Queue": None,
}


class Route(NamedTuple):
    """A route of the HTTP API."""

    # Or ANY.
    method: str
    path: str
    # The function's logical id.
    function: str
    # Whether the JWT authorizer stands before it.
    takes_token: bool


class Template(NamedTuple):
    # For create_stack.
    given: dict
    routes: list
    # The functions with a URL that is open to everybody.
    open_urls: list
    # By logical id, the names that moto knows as outputs of the stack.
    secrets: dict


def read(path):
    with open(path, encoding="utf-8") as file:
        source = yaml_parse(file)
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # As after `sam package`; SAM translates nothing that is still a folder.
            resource["Properties"]["CodeUri"] = "s3://packaged/function.zip"
    # SAM asks for it here alone.
    os.environ["AWS_DEFAULT_REGION"] = REGION
    parameters = {name: parameter.get("Default", "") for name, parameter in source["Parameters"].items()}
    translated = transform(source, parameters, ManagedPolicies())
    resources = translated["Resources"]
    secrets = {name: f"NameOf{name}" for name in of_type(resources, "AWS::SecretsManager::Secret")}
    return Template(given(translated, secrets), list(routes(resources)), list(open_urls(resources)), secrets)


class ManagedPolicies:
    """SAM's way to ask AWS for the ARNs of managed policies. No role is made here."""

    def load(self):
        return {}


def of_type(resources, *types):
    return {name: resource for name, resource in resources.items() if resource["Type"] in types}


def given(translated, secrets):
    """The stack as moto can make it."""
    resources = {name: cut(resource) for name, resource in of_type(translated["Resources"], *GIVEN).items()}
    # moto makes no secrets by CloudFormation, but finds out their names.
    outputs = {
        output: {"Value": translated["Resources"][secret]["Properties"]["Name"]} for secret, output in secrets.items()
    }
    # `Ref` of a bus is its name (CloudFormation, "AWS::Events::EventBus"), but moto puts an object of its own there.
    buses = {name: bus["Properties"]["Name"] for name, bus in of_type(resources, "AWS::Events::EventBus").items()}
    stack = {"Parameters": translated["Parameters"], "Resources": resources, "Outputs": outputs}
    if "Conditions" in translated:
        stack["Conditions"] = translated["Conditions"]
    return with_names_for_refs(stack, buses)


def cut(resource):
    kind, properties = resource["Type"], resource["Properties"]
    kept = {name: properties[name] for name in GIVEN[kind] or properties if name in properties}
    # Nothing of it is run by moto.
    code = {"Code": {"ZipFile": "none"}} if kind == FUNCTION else {}
    return {"Type": kind, "Properties": {**kept, **code}}


def with_names_for_refs(node, names):
    if isinstance(node, dict):
        if list(node) == ["Ref"] and node["Ref"] in names:
            return names[node["Ref"]]
        return {key: with_names_for_refs(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [with_names_for_refs(value, names) for value in node]
    return node


def routes(resources):
    for api in of_type(resources, "AWS::ApiGatewayV2::Api").values():
        for path, operations in api["Properties"]["Body"]["paths"].items():
            for method, operation in operations.items():
                target = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                function = re.search(r"\$\{(\w+)\.Arn\}", target)[1]
                takes_token = not any("NONE" in scheme for scheme in operation["security"])
                name = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                yield Route(name, path, function, takes_token)


def open_urls(resources):
    for url in of_type(resources, "AWS::Lambda::Url").values():
        if url["Properties"]["AuthType"] == "NONE":
            yield url["Properties"]["TargetFunctionArn"]["Ref"]
