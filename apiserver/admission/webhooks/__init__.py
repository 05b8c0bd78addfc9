"""Admission webhooks: servers of the cluster's users that change or refuse what is written.

`configuration.py` reads MutatingWebhookConfigurations and ValidatingWebhookConfigurations, `review.py` is the question
and the answer, `calling.py` one call with what its failure means, `mutating.py` and `validating.py` the two plugins.

Source: Kubernetes documentation, "Dynamic Admission Control"; apiserver, admission/plugin/webhook.
"""
