"""What must hold once the story is over: nothing went twice, nothing is left lying, nothing shows what is private."""

from . import lines
from .steps import Wrong, expect, wait_for
from .story import messages


def look_back(it, sent, step):
    with step("Twilio has each message exactly once, and nothing else"):
        ledger = it.ledger()
        for to, beginning in sent:
            found = [entry for entry in ledger if entry["to"] == to and entry["body"].startswith(beginning)]
            expect(f"'{beginning}' to {to}", len(found), 1)
        expect("all that Twilio has", len(ledger), len(sent))
    with step("every receipt is in, and the school's log says the same as Twilio"):
        # Two receipts a message, and what came in.
        many = 2 * len(sent)
        callbacks = wait_for("receipts", it.callbacks, lambda seen: len(seen) > many)
        expect("what the webhook answered", {callback["answer"] for callback in callbacks}, {200, 204})
        went = [each for each in messages(it, "direction=out") if each["sid"]]
        expect("their SIDs", sorted(each["sid"] for each in went), sorted(entry["sid"] for entry in ledger))
        expect("how far they are", {each["status"] for each in went}, {"delivered"})
    with step("no queue holds anything, no function died, and nothing failed unheard"):
        queues = [it.stack.poller.queue, *it.stack.dead_letters, *it.stack.told]
        expect("what lies in the queues", [it.aws.waiting(queue) for queue in queues], [0] * len(queues))
        started = {logical: emulator.starts() for logical, emulator in it.emulators.items()}
        expect("starts", started, dict.fromkeys(it.emulators, 1))
        expect("failures", it.failures, [])
    with step("the table shows no number, no text and no token"):
        items = str(it.aws.items(it.stack.table))
        expect("what it shows", [secret for secret in it.private if secret in items], [])
    with step("each line of the functions is JSON, names its request, and tells of no error and nothing private"):
        [namespace] = {function.environment["METRICS_NAMESPACE"] for function in it.stack.functions.values()}
        wrong, metrics = lines.read(it.emulators, namespace, it.private)
        if wrong:
            raise Wrong("\n     ".join([f"{len(wrong)} lines, among them:", *wrong[:10]]))
    with step("the metrics are valid, and add up to what happened"):
        ticks = sum(each.kind == "a scheduled event" for each in it.emulators["DispatchMessages"].invocations)
        told = {"Accepted": len(sent), "Delivered": len(sent), "Inbound": 2, "OptOuts": 1, "Skipped": 1}
        told |= dict.fromkeys(["Failed", "NotProcessed", "Unknown", "Stuck", "LimitedRequests", "ErrorLines"], 0)
        expect("the sums", {name: sum(metrics.get(name, [])) for name in told}, told)
        of_each_tick = {name: len(metrics.get(name, [])) for name in ("Stuck", "LateSeconds")}
        expect("how often each tick told", of_each_tick, dict.fromkeys(of_each_tick, ticks))
