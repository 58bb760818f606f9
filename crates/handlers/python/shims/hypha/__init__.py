"""Stands for Hypha's package in start-up files: users, scopes and tokens, which are Doorward's."""
