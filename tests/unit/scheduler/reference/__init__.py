"""Plain references of the scheduler's plugins: one node and one pod at a time, over documents, written from Kubernetes'
documentation and behaviour. They share nothing with the plugins, so that neither can lend the other its mistakes."""
