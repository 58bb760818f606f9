"""What the AgentFlow suite needs: the real server, its tokens, keys and document."""
