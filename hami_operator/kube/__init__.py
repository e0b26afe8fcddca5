"""Everything that talks to the API server. Nothing else in the program writes to it.

What the rest of the program uses:

``access.load_access(kubeconfig, context) -> Access``
    Address, TLS and credentials (kubeconfig, exec plugins, in-cluster token; followed when rotated). ``Access.server``,
    ``.ca_file``, ``.client_certificate``, ``.verify`` and ``await .authorization()`` also serve Kopf's login.

``client.Client(access, timeouts, observe)``
    ``get create replace merge_patch strategic_patch json_patch pages watch close``. ``observe`` gets an ``Exchange``
    per request (metrics). ``client.guarded(lambda: lease.is_leader)`` is the same client whose writes raise
    ``NotLeading`` without the lease: give that one to binder, locks and conditions.
    ``await server_version(client)`` -> (major, minor).

``errors``
    ``KubeError`` > ``Refused`` (definite: ``NotFound Conflict Expired Denied Invalid``), ``Unanswered`` (may have
    happened, may still happen), ``NotLeading``, ``AccessError``.

``nodelock.NodeLocks(client, lockbook.LockSettings(scheduler_name, timeout_s, poll_s), tell)``
    ``know(marks)`` at first and when families change. Feed it: ``node_seen(Node)``, ``node_gone(name)`` from the node
    handler; ``pod_ended(PodKey)`` when a pod is gone or terminal, its bind-phase becomes ``failed``, or a plugin that
    knows no lock has served it; ``await sweep()`` as a new leader and at each resync. Ask it:
    ``busy(node)``, ``waiting()``. ``tell(LockNews)`` is called when a pod begins to wait and when a lock is forced.

``turns.Turns(client, locks, patience_s)``
    ``again(Unserved)`` as long as a pod waits for plugins of several families under the node lock;
    ``over(PodKey, node)`` when such a pod runs; ``forget(PodKey)`` when it has ended.

``binder.Binder(client, locks, server_version, objection, lock_patience_s)``
    ``await bind(Order) -> Bound | Rejected(why, message, pod) | Gone | BoundElsewhere(node, pod)``: always definite.
    Only ``Bound`` keeps the reservation (for ``LOCK_BUSY`` the caller may keep it; nothing was written).
    ``abandon(uid)`` when a pod is deleted while it may be waiting. ``in_hand`` are the uids under way.

``fence.fence(client, PodKey) -> PodAbsent | PodUnbound(pod, deleting) | PodOnNode(pod, node)``
    For every pending pod of ours at start and as a new leader, before its first decision.

``conditions.mark_unscheduled(client, PodKey, message, known, version) -> pod object | None``

``events.Recorder(client, settings)``
    ``record(Occurrence)`` never waits; ``await run()`` in a task; ``await close()`` writes what is left.

``leases.Elector(client, settings)``
    ``is_leader``, by our own clock; ``await run(lead)`` runs ``lead()`` as a task while leading.

``reflector.Reflector(client, path, sink, ...)``
    ``await fill()``, ``observe(type, obj)`` for Kopf's events, ``await resync() -> Mended``, ``await follow()`` for
    ``watch: stream``. ``sink(type, obj)`` gets everything.
"""
