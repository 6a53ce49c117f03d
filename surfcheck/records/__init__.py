"""What travels: frozen values, each with JSON both ways.

These know nothing of models, judges or pytest. `to_json` gives plain JSON types and `from_json`
reads them back; unknown keys are ignored, so that an older reader can read a newer file.
"""

from __future__ import annotations

from surfcheck.records.conversation import (
    Message as Message,
)
from surfcheck.records.conversation import (
    Prompt as Prompt,
)
from surfcheck.records.conversation import (
    Response as Response,
)
from surfcheck.records.conversation import (
    Role as Role,
)
from surfcheck.records.discovered import (
    DiscoveryReport as DiscoveryReport,
)
from surfcheck.records.discovered import (
    Emergent as Emergent,
)
from surfcheck.records.discovered import (
    TwoAnswers as TwoAnswers,
)
from surfcheck.records.judged import (
    Case as Case,
)
from surfcheck.records.judged import (
    Exchange as Exchange,
)
from surfcheck.records.judged import (
    Failure as Failure,
)
from surfcheck.records.judged import (
    InvariantResult as InvariantResult,
)
from surfcheck.records.judged import (
    ItemResult as ItemResult,
)
from surfcheck.records.judged import (
    Outcome as Outcome,
)
from surfcheck.records.judged import (
    ResultWord as ResultWord,
)
from surfcheck.records.judged import (
    RunReport as RunReport,
)
from surfcheck.records.judged import (
    Usage as Usage,
)
from surfcheck.records.judged import (
    Verdict as Verdict,
)
from surfcheck.records.training import (
    AttributionReport as AttributionReport,
)
from surfcheck.records.training import (
    Behaviour as Behaviour,
)
from surfcheck.records.training import (
    Contrast as Contrast,
)
from surfcheck.records.training import (
    Implicated as Implicated,
)
from surfcheck.records.training import (
    SourceShare as SourceShare,
)
from surfcheck.records.training import (
    TrainingRow as TrainingRow,
)
from surfcheck.records.training import (
    VerdictWord as VerdictWord,
)
