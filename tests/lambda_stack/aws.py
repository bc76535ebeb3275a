"""AWS: moto's server, and its clients. Beside the functions, only what plays AWS itself asks it."""

import contextlib
import functools
import os
import sys

import boto3
from botocore.config import Config
from running import running

REGION = "us-east-1"
# moto believes everybody, and reads the region and the service off the signature.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}


@contextlib.contextmanager
def moto(folder):
    """Runs moto's server as long as the block lasts; gives its URL."""
    program = os.path.join(os.path.dirname(__file__), "one_at_a_time.py")
    with running(sys.executable, [program], folder, ["moto"]) as (_, said):
        yield said["moto"]


class Aws:
    def __init__(self, url):
        self.url = url

    @functools.cache
    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}),
            **{name.lower(): value for name, value in CREDENTIALS.items()},
        )

    def items(self, table):
        """Everything in a table, as DynamoDB writes it."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def take(self, queue, most=10):
        """Up to so many messages of a queue, with all that SQS says of them."""
        everything = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        taken = self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=most, **everything)
        return taken.get("Messages", [])

    def delete(self, queue, message):
        self.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def waiting(self, queue):
        """How many messages lie in a queue, taken or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        said = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(said[name]) for name in names)

    def lines(self, log_group):
        """The messages of a log group."""
        return [event["message"] for event in self.client("logs").filter_log_events(logGroupName=log_group)["events"]]
