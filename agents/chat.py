"""Chat templates: `ChatCodec` turns messages into ids and back, `examine` says what a template does."""

from agents.codec import ChatCodec
from agents.examination import TemplateReport, examine

__all__ = ["ChatCodec", "TemplateReport", "examine"]
