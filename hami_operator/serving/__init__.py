"""HTTP endpoints of the operator. They read state, they never decide."""
