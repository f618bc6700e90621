"""What the machine did with its processors' time: /proc/stat before and after."""

from dataclasses import dataclass
from pathlib import Path

# man 5 proc: user nice system idle iowait irq softirq steal (the rest is contained in user and nice)
IDLE, STEAL, COLUMNS = (3, 4), 7, 8


@dataclass(frozen=True)
class ProcessorTime:
    """Jiffies of all processors since the machine started; differences of two are shares of an interval."""

    total: int
    idle: int
    stolen: int

    @classmethod
    def now(cls, path: Path = Path("/proc/stat")) -> "ProcessorTime":
        """Read the first line of /proc/stat."""
        fields = path.read_text(encoding="utf-8").splitlines()[0].split()[1 : 1 + COLUMNS]
        values = [int(field) for field in fields]
        return cls(sum(values), sum(values[i] for i in IDLE), values[STEAL])

    def shares_until(self, later: "ProcessorTime") -> tuple[float, float]:
        """Stolen and busy (stolen left out) shares of the time between this and `later`."""
        total = max(later.total - self.total, 1)
        stolen, idle = later.stolen - self.stolen, later.idle - self.idle
        return stolen / total, (total - idle - stolen) / total
