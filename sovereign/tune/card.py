"""What a finished run says of itself in few words: its card's facts, and its event for the log."""

from __future__ import annotations

from typing import Any

from sovereign.tune import stats
from sovereign.tune.record import RunRecord

__all__ = ["besides", "event", "facts", "guarantee"]


def facts(made: RunRecord) -> dict[str, Any]:
    """For people: no path, no text of a row."""
    data, training = made.data["data"]["train"], made.data["training"]
    card = {
        "rows": f"{data['used']} of {data['read']} (SHA-256 {data['sha256'][:12]}…)",
        "personal data": _said(made.data["private"]),
        "differential privacy": guarantee(made.data["privacy"]),
        "steps": training["steps"],
        "loss": f"{training['loss_first']:.3f} to {training['loss_last']:.3f}",
    }
    if made.after is not None:
        was = f"{made.before:.0%} before, " if made.before is not None else ""
        card["exact answers on held-out rows"] = f"{was}{made.after:.0%} after"
    if made.data["general"] is not None:
        card["what it can do besides"] = "; ".join(
            f"{name} {was} before, {now} after ({sure})"
            for name, was, now, sure in besides(made.data["general"])
        )
    kept = made.data["memorization"]
    card["memorisation"] = "not measured" if kept is None else _measured(kept)
    base = made.data["base"]
    return {
        "recipe": made.data["recipe"],
        "kind": "A model, fully fine-tuned from" if made.is_model else "A LoRA adapter for",
        "base": base["name"],
        "base_digest": base["digest"],
        "card": card,
    }


def event(made: RunRecord) -> dict[str, Any]:
    """For the audit log: names, counts and digests."""
    base, train = made.data["base"], made.data["data"]["train"]
    kind = made.data["hyperparameters"]["lora"]["kind"]
    train_config = made.data["hyperparameters"]["train"]
    kind = "full" if made.is_model else kind
    quantize = train_config["quantize"]
    return {
        "type": "tune.run",
        "outcome": "ok",
        "base": base["name"],
        "base_digest": base["digest"],
        "data_sha256": train["sha256"],
        "rows": train["read"],
        "recipe": made.data["recipe"],
        "method": kind if quantize == "none" else f"q{kind}",
        "seed": made.data["hyperparameters"]["train"]["seed"],
        "steps": made.data["training"]["steps"],
        "adapter_digest": made.digest,
        "run_sha256": made.sha256,
    }


def guarantee(privacy: dict[str, Any]) -> str:
    """What a passport's ``privacy`` says of differential privacy, in words."""
    if privacy["epsilon"] == "none":
        return "not used"
    delta = f", delta {privacy['delta']:g}" if "delta" in privacy else ""
    unit = f", for each {privacy['unit']}" if "unit" in privacy else ""
    return f"epsilon {privacy['epsilon']}{delta}{unit}"


def _said(private: dict[str, Any]) -> str:
    if not private["rows"]:
        return "none was found"
    reason = f" ({private['reason']})" if private["reason"] else ""
    done = {"allow": "left in", "drop": "dropped", "pseudonymize": "pseudonymized"}
    return f"found in {private['rows']} rows, {done[private['action']]}{reason}"


def besides(general: dict[str, Any]) -> list[tuple[str, ...]]:
    """What the model can do besides: of each thing its name, before, after, and how sure that is
    (95 % intervals)."""
    rows: list[tuple[str, ...]] = []
    if general["rise"] is not None:
        was, now, rise = general["before"], general["after"], general["rise"]
        sure = f"rose by {rise['mean']:.3f}, {rise['low']:.3f} to {rise['high']:.3f}"
        name = f"loss of {general['rows']} general rows"
        rows.append((name, f"{was['mean']:.3f}", f"{now['mean']:.3f}", sure))
    if general["exact"] is not None:
        shares, sures = [], []
        for score in general["exact"]:
            low, high = stats.binomial_interval(score["exact"], score["rows"])
            shares.append(f"{score['exact']} of {score['rows']}")
            sures.append(f"{low:.0%} to {high:.0%}")
        rows.append(("general rows answered exactly", *shares, ", then ".join(sures)))
    for task, metrics in general["tasks"].items():
        for metric, whens in metrics.items():
            shares, sures = [], []
            for value, error in (whens["before"], whens["after"]):
                shares.append(f"{value:.3f}")
                sures.append("unknown" if error is None else f"± {stats.Z95 * error:.3f}")
            rows.append((f"{task}, {metric}", *shares, ", then ".join(sures)))
    return rows


def _measured(kept: dict[str, Any]) -> str:
    parts = [
        f"canaries inserted {e['copies']} times: {e['mean']:.1f} bits ({e['low']:.1f} to "
        f"{e['high']:.1f})"
        for e in kept["exposure"]
    ]
    probed = kept["extraction"]
    parts.append(f"{probed['extracted']} of {probed['probed']} identifiers extracted")
    if kept["membership"] is not None:
        m = kept["membership"]
        parts.append(f"membership AUC {m['auc']:.2f} ({m['low']:.2f} to {m['high']:.2f})")
    return "; ".join(parts)
