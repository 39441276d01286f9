"""Notifications: sending a message to a target.

How a message gets to its target:

1. A cycle of the dispatcher records the end of a run. In the same transaction, `store.outbox` adds a row for each
   target that `policy.notifications` says is told of it. A group is watched until nothing of it is queued or
   running; then one message tells of all of it. Without targets in `aqueue.yaml`, this executes no statement.
2. `server.notifier`, a task of its own, claims a row: for a minute, no other server sends it.
3. `delivery` starts a process (`program`) that replaces `${NAME}` in the target's texts by secrets (`secrets`),
   and sends the message. It is killed if that takes too long. So neither a slow target nor a large library slows
   down the server, and no secret gets into its memory, the database or a log.
4. The notifier records that the message was sent, or when it is tried again. If the server dies before that, the
   next one sends the message again, with the same id: each is delivered at least once.

To send in another way, add a function to `senders`. Read first: `program`.
"""
