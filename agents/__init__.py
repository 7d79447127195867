"""Agents: whatever answers a prompt with a generation."""

from agents.base import Agent, AgentError, FinishReason, Generation, Prompt

__all__ = ["Agent", "AgentError", "FinishReason", "Generation", "Prompt"]
