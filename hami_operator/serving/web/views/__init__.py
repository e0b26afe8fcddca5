"""What each view shows, as plain values made from the state. They know neither HTML nor HTTP."""
