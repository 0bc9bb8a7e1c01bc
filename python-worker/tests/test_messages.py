import dataclasses
import json
from pathlib import Path

import pytest

from kilnwatt_worker.messages import ANSWERS, REQUESTS, Done, Envelope, Log, decode, encode, parse
from kilnwatt_worker.parts import MAX_SEED
from kilnwatt_worker.strict import MAX_LINE_BYTES, Refused

GOLDEN = Path(__file__).parents[2] / "test" / "fixtures" / "messages"


@pytest.mark.parametrize("sample", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_each_golden_sample_is_read_and_written_back_equal(sample: Path) -> None:
    raw = json.loads(sample.read_text(encoding="utf-8"))
    envelope = parse(raw)
    assert json.loads(encode(envelope)) == raw
    assert decode(encode(envelope)) == envelope


def test_every_message_of_the_closed_set_has_a_golden_sample() -> None:
    sampled = {json.loads(path.read_text(encoding="utf-8"))["type"] for path in GOLDEN.glob("*.json")}
    assert sampled == {*REQUESTS, *ANSWERS}


def changed(**changes: object) -> dict[str, object]:
    raw: dict[str, object] = json.loads((GOLDEN / "generate.json").read_text(encoding="utf-8"))
    return {**raw, **changes}


def with_param(name: str, value: object) -> dict[str, object]:
    params = changed()["params"]
    assert isinstance(params, dict)
    return changed(params={**params, name: value})


def with_item(name: str, value: object) -> dict[str, object]:
    items = changed()["items"]
    assert isinstance(items, list)
    return changed(items=[{**items[0], name: value}])


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (changed(v=2), "message.v must be 1"),
        (changed(extra=1), "unknown field extra"),
        (changed(type="paint"), "'paint' is not one of ours"),
        (changed(seq=True), "message.seq"),
        (changed(items=[]), "at least one item"),
        (with_param("depth", 1), "message.params has the unknown field depth"),
        (with_param("steps", 0), "message.params.steps must be from 1"),
        (with_param("steps", 2.5), "message.params.steps must be a whole number"),
        (with_param("width", True), "message.params.width must be a whole number"),
        (with_param("format", "gif"), "message.params.format must be one of png, jpeg, webp"),
        (with_param("guidance", "7"), "message.params.guidance must be a finite number"),
        (with_item("seed", MAX_SEED + 1), "message.items[0].seed must be from 0 to 9007199254740991"),
        (with_item("seed", -1), "message.items[0].seed must be from 0"),
        (with_item("prompt", None), "message.items[0].prompt must be a string"),
        ([], "a message must be an object"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(raw: object, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(raw)
    assert sentence in str(refused.value)


def test_a_missing_field_is_refused_by_its_name() -> None:
    raw = changed()
    del raw["engine"]
    with pytest.raises(Refused, match="lacks the field engine"):
        parse(raw)


def test_two_items_of_one_job_are_refused() -> None:
    items = changed()["items"]
    assert isinstance(items, list)
    with pytest.raises(Refused, match="a job of its own"):
        parse(changed(items=items * 2))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_what_is_no_finite_number_is_refused_on_the_way_in(value: str) -> None:
    line = json.dumps(with_param("guidance", 7.25)).replace("7.25", value)
    with pytest.raises(Refused):
        decode(line)


def test_what_is_no_finite_number_is_refused_on_the_way_out() -> None:
    done = decode((GOLDEN / "done.json").read_text(encoding="utf-8")).body
    assert isinstance(done, Done)
    broken = dataclasses.replace(done, seconds=float("nan"))
    with pytest.raises(ValueError, match="Out of range float"):
        encode(Envelope("l", 1, broken))


def test_a_line_of_over_a_mebibyte_is_refused_in_both_directions() -> None:
    with pytest.raises(Refused, match="longer than"):
        decode(b'"' + b"x" * MAX_LINE_BYTES + b'"')
    with pytest.raises(Refused, match="longer than"):
        encode(Envelope("l", 1, Log("info", "x" * MAX_LINE_BYTES)))


def test_half_a_character_in_a_prompt_does_not_break_the_line() -> None:
    envelope = Envelope("l", 1, Log("info", "\ud800"))
    assert decode(encode(envelope)) == envelope
