"""The rules for Prometheus: templates, filled with values such as thresholds, severities and links.

`[[name]]` in a template is a value of the alert that it belongs to, a value of all rules, or a text of `constants`.
"""
