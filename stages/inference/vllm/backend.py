"""Generation with vLLM: requests go in as places come free, completions come out as they finish.

Prompts go in as token ids and token ids come out, so that prompt, text and ends are those of the transformers
backend. Where the text decides how a completion goes on (stop strings, budget forcing) it is followed token
by token; a forced text becomes part of the prompt of a second request, whose beginning is still in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from stages.inference.encoding import end_ids, load_tokenizer, named_ends
from stages.inference.interface import Completion, Gathered, Request, Source, unasked
from stages.inference.output import OutputProcessor, Sequence
from stages.inference.vllm import engine as vllm_engine
from stages.records.record import seed_of
from stages.runtime.errors import R1Error, TooLong, UsageError, said
from stages.settings.groups import Engine, Sampling, check

IN_FLIGHT = 3  # sequences given to the engine, for each that it decodes at once
LARGEST = 2**63 - 1


class VllmBackend:
    """`model` in an engine of its own; `follows` says that its weights will come from `follow`."""

    revision = ""

    def __init__(
        self,
        model: str,
        engine: Engine,
        *,
        adapter: Path | None = None,
        follows: bool = False,
        separate: bool = False,
    ) -> None:
        if engine.deterministic:
            raise UsageError("--deterministic: vllm cannot promise it; use --backend transformers")
        if follows and engine.tp * engine.dp > 1:
            raise UsageError(
                f"--tp {engine.tp} --dp {engine.dp}: a model under training goes to one GPU; leave them at 1"
            )
        vllm_engine.set_environment()
        trust = engine.trust_remote_code
        self.tokenizer = load_tokenizer(model, trust, adapter)
        self.engine = vllm_engine.start(model, engine, adapter=adapter, follows=follows, separate=separate)
        self.adapter = vllm_engine.lora_request(adapter)
        self.lock = threading.Lock()  # an engine cannot end in the middle of a step
        config = self.engine.vllm_config
        self.limit = vllm_engine.context(config.model_config, engine)
        self.vocabulary = int(config.model_config.get_vocab_size())
        self.places = IN_FLIGHT * int(config.scheduler_config.max_num_seqs)
        self.ends = end_ids(self.tokenizer, named_ends(model, trust))
        self.sleeps = bool(config.model_config.enable_sleep_mode)
        self.follows = follows
        self.computes = str(config.model_config.dtype).removeprefix("torch.")
        self.expected: int | None = None  # the fingerprint its weights must have
        self.count = 0

    def close(self) -> None:
        """Ends the engine; a generation that runs in another thread ends with an error."""
        with self.lock:
            engine, self.engine = self.engine, None
            if engine is not None:
                vllm_engine.stop(engine)

    def follow(self, model: Any, gathered: Gathered = nullcontext) -> int:
        """See `Follower`."""
        from stages.inference.vllm import weights as vllm_weights

        self._wake()
        runner = self.engine.model_executor.driver_worker.worker.model_runner
        self.expected = vllm_weights.load(
            runner.vllm_config,
            runner.get_model(),
            vllm_weights.named_weights(model, gathered),
            self.engine.model_config.dtype,
        )
        self.engine.reset_prefix_cache()
        return self.expected

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`."""
        check(sampling)
        self._wake()
        self._prove()
        processor = OutputProcessor(self.tokenizer, self.ends, self.limit, sampling)
        running: dict[str, Sequence] = {}
        source = Source(requests)
        try:
            while True:
                while len(running) < self.places and (request := source.take()) is not None:
                    try:
                        begun = processor.begin(request, self.vocabulary)
                    except TooLong as error:
                        yield from unasked(request, error)
                        continue
                    for sequence in begun:
                        self._go_on(sequence, processor, running)
                        if sequence.finish:
                            yield processor.completion(sequence)
                if not running:
                    if source.exhausted:
                        return
                    yield None
                    continue
                for output in self._step():
                    done = self._advance(output, processor, running)
                    if done is not None:
                        yield done
        finally:
            if self.engine is not None:
                self.engine.abort_request(list(running))
                self._sleep()

    def _go_on(self, sequence: Sequence, processor: OutputProcessor, running: dict[str, Sequence]) -> None:
        """Takes what is forced, and asks for the rest of the sequence where it has one."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        while sequence.forced and not sequence.finish:
            processor.take(sequence, sequence.forced[0], None)
        if sequence.finish:
            return
        sampling, request = processor.sampling, sequence.request
        seed = request.seeds[sequence.index]
        if sequence.ids:  # the draws of the first request are not drawn again
            seed = seed_of(seed, len(sequence.ids))
        followed = processor.needed(request)
        name = str(self.count)
        self.count += 1
        running[name] = sequence
        self.engine.add_request(
            name,
            tokens_input(sequence.prompt_ids + sequence.ids),
            SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                max_tokens=processor.room(sequence) - len(sequence.ids),
                seed=seed & LARGEST if sampling.temperature else None,
                stop_token_ids=sorted(self.ends),
                ignore_eos=True,
                detokenize=False,
                logprobs=0 if request.logprobs else None,
                output_kind=RequestOutputKind.DELTA if followed else RequestOutputKind.FINAL_ONLY,
            ),
            lora_request=self.adapter,
        )

    def _step(self) -> list[Any]:
        with self.lock:
            if self.engine is None:
                raise R1Error("vLLM was closed while it was generating")
            try:
                outputs: list[Any] = self.engine.step()
            except Exception as error:  # whatever a kernel, a driver or a worker may raise
                why = f"vLLM failed: {said(error)[:300]}; VLLM_LOGGING_LEVEL=INFO shows more"
                raise R1Error(why) from error
        return outputs

    def _advance(
        self, output: Any, processor: OutputProcessor, running: dict[str, Sequence]
    ) -> Completion | None:
        """Takes the new tokens of one sequence. Returns its completion where it is finished."""
        name = output.request_id
        sequence = running.get(name)
        if sequence is None:  # what came after its end
            return None
        new, turned = output.outputs[0], False
        for place, token in enumerate(new.token_ids):
            logprob = new.logprobs[place][token].logprob if new.logprobs else None
            kept = processor.take(sequence, token, logprob)
            turned = kept is not None or bool(sequence.forced)
            if turned or sequence.finish:
                break
        if not (turned or sequence.finish or output.finished):
            return None
        del running[name]
        if not output.finished:
            self.engine.abort_request([name])
        if not sequence.finish:
            if not turned:
                raise R1Error(f"vLLM ended a completion early: {new.finish_reason}")
            self._go_on(sequence, processor, running)
        return processor.completion(sequence) if sequence.finish else None

    def _prove(self) -> None:
        if not self.follows:
            return
        from stages.inference.fingerprint import refuse_other
        from stages.inference.vllm import weights as vllm_weights

        (found,) = self.engine.apply_model(vllm_weights.loaded)
        refuse_other(found, self.expected)

    def _sleep(self) -> None:
        """Gives the GPU's memory to the trainer; weights go to the CPU's."""
        if self.sleeps:
            self.engine.sleep(level=1)

    def _wake(self) -> None:
        if self.sleeps and self.engine.is_sleeping():
            self.engine.wake_up()
