"""Records to training examples: the conversation as `generate` renders it, and the turns to learn.

A learned turn is what a model would have to write: from where the prompt ends to the template's own end of a
turn, which is the tokenizer's end of text where the template has none. Tokens that were sampled are taken as
they are; a text is tokenised as it follows its prompt. A completion that was cut at the limit gets no end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stages.inference import chat, marks
from stages.inference.encoding import fingerprint_of
from stages.inference.transcript import Transcript, begin, matching_prefix
from stages.inference.transformers.backend import TransformersBackend
from stages.records.notes import Notes
from stages.records.record import Record, bad_record, place_of, said_by
from stages.records.templates import Rendered, Template
from stages.records.turns import Turn, whole_words
from stages.training.rows import Sample
from stages.training.sft.lessons import Learn, chosen, conversation, sampled


class Said(NamedTuple):
    """A turn as it is learned: the text it follows, its own, the token that ends it and what shows that."""

    head: str
    text: str
    end: int | None
    shown: str
    given: bool  # whether a chat template wrote the text


class Examples:
    """Makes the samples of each record under `template`, for `backend`'s model."""

    def __init__(self, template: Template, backend: TransformersBackend, learn: Learn = "completion") -> None:
        self.template, self.learn = template, learn
        self.tokenizer, self.ends = backend.tokenizer, backend.ends
        self.vocabulary = backend.model.config.get_text_config().vocab_size
        self.ending = marks.ending(self.tokenizer)
        self.turn_end = marks.turn_end(self.tokenizer)
        self.blank = self.ending[len(self.ending.rstrip()) :]
        names = marks.marks_of(self.tokenizer).names
        self.named = {names[end]: end for end in self.ends if end in names}
        self.closers = marks.any_of(self.named)
        self.notes = Notes()
        self._fingerprint = ""

    def of(self, record: Record) -> list[Sample]:
        """The samples that teach `record`, one where the template leaves earlier turns as they were.

        Raises BadInput where a field is missing, nothing is left to learn, or the template cannot show it.
        """
        record = record if isinstance(record, Record) else Record(record)
        turns, own = conversation(record)
        learned = chosen(turns, own, self.learn, record)
        transcripts: list[Transcript] = []
        for index, weight in learned:
            if not index:
                raise bad_record(
                    record,
                    "an answer without a question",
                    "a user's message must come before the assistant's",
                )
            rendered = self.template.render(record.adding(prompt=turns[:index]))
            last = index == len(turns) - 1 and index >= own
            said = self._said(rendered, turns[index], record, last)
            if not transcripts or not transcripts[-1].extend_to(said.head):
                transcripts.append(self._begin(said.head, rendered, record, last))
            self._say(transcripts[-1], said, turns[index], record, last, weight)
            if index == learned[-1][0]:
                for what in chat.unshown(self.tokenizer, rendered, place_of(record)):
                    self.notes.add(f"the template does not show {what} of the prompt", record)
        if not all(transcript.exact for transcript in transcripts):
            self.notes.add("the tokenizer does not give its text back; other tokens say it", record)
        return [_sample(transcript, record) for transcript in transcripts]

    def _begin(self, head: str, rendered: Rendered, record: Record, last: bool) -> Transcript:
        transcript = begin(self.tokenizer, head, chatting=rendered.text is None)
        ids = record.get("prompt_ids") if last else None
        if ids and ids != transcript.ids and self._ours(record, ids):
            if self.tokenizer.decode(ids) == self.tokenizer.decode(transcript.ids):
                return Transcript(self.tokenizer, head, list(ids), [0.0] * len(ids))
            self.notes.add("its prompt_ids are of another prompt than the template's", record)
        return transcript

    def _say(
        self, transcript: Transcript, said: Said, turn: Turn, record: Record, last: bool, weight: float
    ) -> None:
        ids = record.get("completion_ids") if last and "completion_ids" in record else None
        ids = ids or turn.get("completion_ids")
        end, kept = said.end, None
        if ids and self._ours(record, ids):
            drawn = ids[-1] if ids[-1] in self.ends else None
            kept = matching_prefix(
                self.tokenizer, transcript.ids, ids[:-1] if drawn is not None else ids, said.text
            )
            if kept is None:
                self.notes.add("its completion_ids do not say its completion, whose text is learned", record)
            elif drawn is not None and end is not None and len(kept) == len(ids) - 1:
                end = drawn
        transcript.add(said.text, kept, weight, given=said.given)
        if end is not None:
            shown = said.shown if end == said.end else marks.marks_of(self.tokenizer).names.get(end, "")
            transcript.end_answer(end, shown, weight)

    def _ours(self, record: Record, ids: Any) -> bool:
        """Whether ids are of this tokenizer: it has them all, and the record names no other."""
        if not isinstance(ids, list) or not all(type(i) is int and 0 <= i < self.vocabulary for i in ids):
            return False
        named = said_by(record, "generate").get("tokenizer")
        if named is None:
            return True
        self._fingerprint = self._fingerprint or fingerprint_of(self.tokenizer)
        return bool(named == self._fingerprint)

    def _said(self, rendered: Rendered, turn: Turn, record: Record, last: bool) -> Said:
        ended = not (last and record.get("finish") == "length")
        raw = last and isinstance(record["completion"], str) and sampled(record)
        if rendered.text is not None:
            self._refuse(turn, rendered.prefill, record)
            head = rendered.text.removesuffix(rendered.prefill)
            return self._plain(head, rendered.prefill, turn, ended)
        place = place_of(record)
        head, opened = chat.head_of(self.tokenizer, rendered, place)
        prefill = chat.begun(rendered, opened)
        if not raw:
            for start in dict.fromkeys((head + prefill, head + opened, head)):
                text = chat.continued(self.tokenizer, rendered, turn, start, place)
                if text is not None:
                    way = self._way(opened, text) if start == head else ""
                    return self._cut(
                        start + way,
                        text.removeprefix(way),
                        ended,
                        called=bool(turn.get("tool_calls")),
                    )
            said = self._fork(rendered, turn, head + opened, ended, place)
            if said is not None:
                self.notes.add("an answer begins otherwise than its prompt has it begin", record)
                return said
            self._refuse(turn, prefill, record)
        return self._plain(head, prefill, turn, ended)

    def _way(self, opened: str, text: str) -> str:
        """The tokens that the template opens and the answer begins with as well: the prompt has them."""
        common = chat.shared(opened, text)
        found = marks.marks_of(self.tokenizer).pattern.finditer(common)
        return common[: max((match.end() for match in found), default=0)]

    def _plain(self, head: str, prefill: str, turn: Turn, ended: bool) -> Said:
        """The turn's own words after the head: as `generate` would have recorded them."""
        spoken = whole_words(turn)
        begins = spoken.startswith(prefill)
        return self._cut(
            head + prefill if begins else head,
            spoken.removeprefix(prefill) if begins else spoken,
            ended,
            given=False,
        )

    def _fork(self, rendered: Rendered, turn: Turn, head: str, ended: bool, place: str) -> Said | None:
        """The turn where its text leaves the way of `head`, as where that says that nothing was thought."""
        whole = chat.text_of(self.tokenizer, rendered, place, turns=[turn], begin=False)
        before = chat.text_of(self.tokenizer, rendered, place, begin=False)
        way = chat.shared(head, whole)
        first = len(chat.shared(head, before))
        ends = [match.end() for match in marks.marks_of(self.tokenizer).pattern.finditer(way)]
        at = max([way.rfind("\n") + 1, *ends])
        if at < first:
            return None
        said = whole[at:]
        if not chat.holds(self.tokenizer, rendered, turn, said, place):
            return None
        return self._cut(way[:at], said, ended, called=bool(turn.get("tool_calls")))

    def _cut(self, head: str, text: str, ended: bool, *, given: bool = True, called: bool = False) -> Said:
        """The text up to the first of the ends it closes with, and that end."""
        start = marks.marks_of(self.tokenizer).run(text)
        if given and text.endswith(self.ending):  # which may go on with a head
            start = min(start, len(text) - len(self.ending))
        closing = self.closers.search(text, start)
        if not ended:  # what a template wrote has an end that the model did not come to
            return Said(head, text[: closing.start()] if closing and given else text, None, "", given)
        if closing is not None:
            name = closing.group()
            return Said(head, text[: closing.start()], self.named[name], name, given)
        if called and (mark := marks.marks_of(self.tokenizer).special_at_end(text)) is not None:
            name = marks.marks_of(self.tokenizer).names[mark]  # a call has an end of its own
            return Said(head, text.rstrip().removesuffix(name), mark, name, given)
        if given and self.blank:
            text = text.removesuffix(self.blank)
        return Said(head, text, *self._end(given or not self.template.body), given)

    def _end(self, chatting: bool) -> tuple[int, str]:
        """The token that ends an answer, and how the chat template shows it."""
        names = marks.marks_of(self.tokenizer).names
        if chatting and self.turn_end is not None:
            return self.turn_end, names[self.turn_end]
        end = self.tokenizer.eos_token_id
        return (min(self.ends) if end is None else int(end)), ""

    def _refuse(self, turn: Turn, prefill: str, record: Record) -> None:
        """Raises BadInput where the turn has more than words, and reasoning that no prefill begins."""
        held = ["tool_calls"] if turn.get("tool_calls") else []
        if turn.get("reasoning_content") and "<think>" not in prefill:
            held.append("reasoning_content")
        if held:
            name = self.template.name
            raise bad_record(
                record,
                f"{f'template {name}' if self.template.body else 'the chat template'} does not show the "
                f"{' and '.join(held)} of an answer",
                "give the checkpoint a chat_template.jinja that does (docs/chat.md), or write it into "
                "the "
                "content; or use -t r1, which writes reasoning between <think> and </think>",
            )


def _sample(transcript: Transcript, record: Record) -> Sample:
    first = next((i for i, weight in enumerate(transcript.weight) if weight), 0)
    if not first:
        raise bad_record(record, "prompt or completion is empty", "drop the record")
    return Sample(transcript.ids[:first], transcript.ids[first:], transcript.weight[first:])
