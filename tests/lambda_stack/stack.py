"""The stack of template.yaml in moto, and what moto has made of it."""

import json
from typing import NamedTuple

from .template import FUNCTION

NAME = "carillon"
BUS = "AWS::Events::EventBus"
LOG_GROUP = "AWS::Logs::LogGroup"
QUEUE = "AWS::SQS::Queue"
RULE = "AWS::Events::Rule"
TABLE = "AWS::DynamoDB::Table"


class Function(NamedTuple):
    name: str
    memory: int
    timeout: int
    # What the template sets.
    environment: dict


class Schedule(NamedTuple):
    """A rule that calls a function at its time."""

    arn: str
    function: str
    # What is said instead of EventBridge's own event.
    input: str | None


class Poller(NamedTuple):
    """A queue whose messages a function is given."""

    queue: str
    arn: str
    function: str
    batch: int
    reports_failures: bool


class Stack(NamedTuple):
    """Functions and schedules by their logical ids, queues by their URLs."""

    functions: dict
    schedules: dict
    poller: Poller
    # All others.
    dead_letters: list
    table: str
    bus: str
    # The function that a rule of the bus calls, by the queue that it is told through instead.
    told: dict
    log_groups: list
    # Names by logical ids.
    secrets: dict


def deploy(aws, template, parameters):
    """Makes the stack."""
    cloudformation = aws.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    cloudformation.create_stack(StackName=NAME, TemplateBody=json.dumps(template.given), Parameters=given)
    made = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
    resources = cloudformation.describe_stack_resources(StackName=NAME)["StackResources"]

    def ids(kind):
        of_kind = [resource for resource in resources if resource["ResourceType"] == kind]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in of_kind}

    functions = ids(FUNCTION)
    by_name = {name: logical for logical, name in functions.items()}
    poller = find_poller(aws, by_name)
    queues = aws.client("sqs").list_queues()["QueueUrls"]
    [table] = ids(TABLE).values()
    bus = find_bus(aws)
    return Stack(
        functions={logical: function(aws, name) for logical, name in functions.items()},
        schedules=dict(find_schedules(aws, ids(RULE), by_name)),
        poller=poller,
        dead_letters=[queue for queue in queues if queue != poller.queue],
        table=table,
        bus=bus,
        told=dict(divert(aws, bus, by_name)),
        log_groups=list(ids(LOG_GROUP).values()),
        secrets={secret: outputs[output] for secret, output in template.secrets.items()},
    )


def function(aws, name):
    made = aws.client("lambda").get_function_configuration(FunctionName=name)
    return Function(name, made["MemorySize"], made["Timeout"], made["Environment"]["Variables"])


def called(arn, by_name):
    """The function of an ARN, if it is one's."""
    return by_name.get(arn.rsplit(":", 1)[1]) if ":lambda:" in arn else None


def find_poller(aws, by_name):
    [mapping] = aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    # Or moto would take the messages, and run the function itself, in Docker.
    aws.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    arn = mapping["EventSourceArn"]
    queue = aws.client("sqs").get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    reports_failures = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
    return Poller(queue, arn, called(mapping["FunctionArn"], by_name), mapping["BatchSize"], reports_failures)


def find_bus(aws):
    [bus] = [bus["Name"] for bus in aws.client("events").list_event_buses()["EventBuses"] if bus["Name"] != "default"]
    return bus


def find_schedules(aws, rules, by_name):
    events = aws.client("events")
    known = {rule["Name"]: rule for rule in events.list_rules()["Rules"]}
    for logical, name in rules.items():
        if "ScheduleExpression" in known.get(name, {}):
            [target] = events.list_targets_by_rule(Rule=name)["Targets"]
            yield logical, Schedule(known[name]["Arn"], called(target["Arn"], by_name), target.get("Input"))


def divert(aws, bus, by_name):
    """Gives the bus's rules a queue for each function that they call, since moto calls none.

    So whether an event fits a rule, and how it is written, is moto's to say and not ours.
    """
    events, sqs = aws.client("events"), aws.client("sqs")
    for rule in events.list_rules(EventBusName=bus)["Rules"]:
        for target in events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]:
            logical = called(target["Arn"], by_name)
            if logical:
                queue = sqs.create_queue(QueueName=f"called-{logical}")["QueueUrl"]
                arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
                instead = [{"Id": target["Id"], "Arn": arn}]
                events.put_targets(Rule=rule["Name"], EventBusName=bus, Targets=instead)
                yield queue, logical
