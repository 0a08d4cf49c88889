"""A directory to a repository on the hub."""

from __future__ import annotations

from pathlib import Path

from stages.runtime.errors import R1Error, Unavailable, UsageError, said

# What a run leaves beside a model: it holds others' data, or is of no use to who downloads the model.
LEFT_OUT = (
    "rollouts/*", "traces/*", "eval/*", "state/*", "steps/*", "best/*", "tensorboard/*", "*.partial/*",
    "*.journal", "offending*.jsonl", "lock",
)  # fmt: skip
TOKEN = "set HF_TOKEN, or run: hf auth login"


def check(repo: str) -> None:
    """Raises UsageError where `repo` is no OWNER/NAME, Unavailable without a token or offline."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"--push {repo}: {said(error)}") from None
    if "/" not in repo:
        raise UsageError(f"--push {repo}: write OWNER/NAME")
    if constants.HF_HUB_OFFLINE:
        raise Unavailable(f"--push {repo}: HF_HUB_OFFLINE is set; unset it")
    if get_token() is None:
        raise Unavailable(f"--push {repo}: no token for the hub; {TOKEN}")


def upload(made: Path, repo: str, *, public: bool) -> str:
    """Makes `repo` where it is not there, private unless `public`, and uploads the directory or file `made`.

    Returns its address. Raises Unavailable for whatever the hub or the network says.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        hub = HfApi()
        address = hub.create_repo(repo, private=not public, exist_ok=True)
        if made.is_dir():
            hub.upload_folder(repo_id=repo, folder_path=made, ignore_patterns=list(LEFT_OUT))
        else:
            hub.upload_file(repo_id=repo, path_or_fileobj=made, path_in_repo=made.name)
    except (R1Error, MemoryError):
        raise
    except Exception as error:  # of the network, or of the hub
        why = said(error).partition(". ")[0][:240]
        raise Unavailable(f"--push {repo}: {why}; the same command with --resume tries again") from error
    return str(address)
