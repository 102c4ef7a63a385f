"""The stateful side: pure core, thin Faust agents, the transactional batch lane."""
