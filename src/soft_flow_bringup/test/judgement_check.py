"""What every finding of the doctor has to be."""

from soft_flow_bringup.finding import Finding, Verdict


def require_judged(finding: Finding, verdict: Verdict, mentions: str) -> None:
    """The verdict, in words that mention this; all but a good one say what to do."""
    assert finding.verdict is verdict
    assert mentions in f"{finding.detail} {finding.remedy}"
    assert bool(finding.remedy) == (verdict is not Verdict.GOOD)
