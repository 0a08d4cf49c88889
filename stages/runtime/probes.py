"""Small programs that try a library, each for a process of its own; what one prints last is what it found.

They are texts, as a library that cannot be imported, or that crashes, is what they are there to find.
"""

TORCH = """
import torch
a = torch.ones(64, 64)
assert float((a @ a)[0, 0]) == 64
kind = "built for CUDA " + torch.version.cuda if torch.version.cuda else "built for CPUs"
print(torch.__version__, kind, sep=", ")
"""

# Each GPU computes, and NCCL adds what they have.
GPUS = """
import torch
count = torch.cuda.device_count()
assert torch.cuda.is_available() and count, "torch sees no GPU"
parts = [torch.ones(1024, device=f"cuda:{i}") for i in range(count)]
torch.cuda.nccl.all_reduce(parts)
assert all(float(part[0]) == count for part in parts), "NCCL adds wrongly"
found = map(torch.cuda.get_device_properties, range(count))
sizes = {f"{each.name} {each.total_memory >> 30} GiB" for each in found}
print(f"{count} x {', '.join(sorted(sizes))}, NCCL " + ".".join(map(str, torch.cuda.nccl.version())))
"""

TRANSFORMERS = """
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, __version__
sizes = dict(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
assert LlamaForCausalLM(LlamaConfig(**sizes))(torch.tensor([[1, 2]])).logits.shape == (1, 2, 8)
print(__version__)
"""

VLLM = """
import vllm
from vllm import LLM, SamplingParams
from vllm.platforms import current_platform
SamplingParams(n=1)
assert current_platform.device_type, "it knows no device here"
print(vllm.__version__, "for", current_platform.device_type)
"""

DEEPSPEED = """
import deepspeed
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.config import DeepSpeedConfig
print(deepspeed.__version__, "for", get_accelerator().device_name())
"""

# In this process, so that nothing is left behind whatever happens.
VLLM_GENERATES = """
import os, pathlib, tempfile
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
from stages import init
from vllm import LLM, SamplingParams
with tempfile.TemporaryDirectory() as folder:
    model = init.run(init.Settings(out=pathlib.Path(folder) / "tiny", hidden=256)).path
    llm = LLM(str(model), dtype="float32", enforce_eager=True, max_model_len=64, gpu_memory_utilization=0.1)
    (made,) = llm.generate(["1+2="], SamplingParams(max_tokens=4, ignore_eos=True))
assert len(made.outputs[0].token_ids) == 4
print("4 tokens of a tiny model")
os._exit(0)
"""

DEEPSPEED_TRAINS = """
import os, socket, deepspeed, torch
# Else it is compiled on the spot, for one process in vain.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
layer = torch.nn.Linear(8, 8)
before = layer.weight.detach().clone()
adam = {"type": "AdamW", "params": {"lr": 0.1, "torch_adam": True}}
config = {"train_micro_batch_size_per_gpu": 1, "optimizer": adam, "zero_optimization": {"stage": 2}}
engine, *_ = deepspeed.initialize(model=layer, model_parameters=layer.parameters(), config=config)
engine.backward(engine(torch.ones(1, 8, device=engine.device)).sum())
engine.step()
assert not torch.equal(layer.weight.detach().cpu(), before), "the step changed nothing"
print("a step of ZeRO 2 on", engine.device)
"""

TOKENIZER = """
import sys
from stages.runtime.errors import R1Error
from stages.records.templates import Rendered
from stages.inference.chat import text_of
from stages.inference.encoding import load_tokenizer
try:
    t = load_tokenizer(sys.argv[1], trust=False)
except R1Error as error:
    sys.exit(str(error))
kind = "no chat template"
if t.chat_template:
    try:
        said = text_of(t, Rendered(None, ({"role": "user", "content": "3+4?"},), "", ()), "")
    except R1Error as error:
        sys.exit(str(error))
    assert "3+4?" in said, "its chat template drops the user's words"
    kind = "a chat template" + (" that opens <think>" if said.rstrip().endswith("<think>") else "")
print(f"{len(t)} tokens, ends with {t.eos_token!r}, {kind}")
"""

PORTRAIT = """
import json, sys
from stages.runtime.errors import R1Error
from stages.training.sft.inspection import findings
try:
    for found in findings(sys.argv[1]):
        print(json.dumps(found), flush=True)
except R1Error as error:
    what, _, remedy = str(error).partition("; ")
    print(json.dumps(("computed", "broken", what, remedy)), flush=True)
"""
