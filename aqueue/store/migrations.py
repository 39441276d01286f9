"""The database's schema, as a sequence of migrations."""

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MIGRATIONS: "Final" = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        run_id TEXT NOT NULL,
        queue TEXT NOT NULL,
        priority INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        trigger TEXT NOT NULL,
        task TEXT NOT NULL,
        source TEXT UNIQUE,
        created_at REAL NOT NULL,
        ready_at REAL,
        started_at REAL,
        finished_at REAL,
        scheduled_for REAL,
        -- The schedule that made it; its name differs from the run's where the schedule makes a sweep.
        schedule TEXT,
        attempt INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        losses INTEGER NOT NULL DEFAULT 0,
        exit_code INTEGER,
        signal INTEGER,
        server TEXT,
        cancel TEXT,
        -- 1: it starts whatever the limits are, as runs of schedules do where queues are disabled.
        direct INTEGER NOT NULL DEFAULT 0,
        -- Its request for GPUs, as text; empty for none. The runs of a queue with the same request are a line:
        -- when the first cannot have its GPUs, none of them can.
        gpu_request TEXT NOT NULL DEFAULT '',
        -- The GPUs that it has, or had in the attempt that ended it.
        gpus TEXT,
        -- Its group, and the commit of its code, as its task says.
        group_name TEXT,
        code TEXT,
        -- The metrics of its last attempt, as JSON.
        metrics TEXT,
        -- Seconds that the last attempt took.
        took REAL,
        -- The set of runs that it comes after.
        prerequisites INTEGER,
        -- 1: it was held when it was aborted because of a prerequisite, so it comes back as held.
        was_held INTEGER NOT NULL DEFAULT 0,
        -- The values that a retry by hand replaced, as JSON, to take the retry back.
        before_retry TEXT,
        -- Its place among all waiting runs, if it was moved; otherwise it is its id that counts.
        place REAL,
        turn NUMERIC GENERATED ALWAYS AS (ifnull(place, id)) VIRTUAL,
        -- In this order, so that a run is found by its run-id alone.
        UNIQUE (run_id, name)
    );
    CREATE INDEX runs_named ON runs (name);
    CREATE INDEX runs_in_line ON runs (queue, gpu_request, priority, turn, id)
        WHERE state = 'queued' AND ready_at IS NULL;
    CREATE INDEX runs_delayed ON runs (ready_at, turn) WHERE state = 'queued' AND ready_at IS NOT NULL;
    CREATE INDEX runs_direct ON runs (id) WHERE direct AND state = 'queued' AND ready_at IS NULL;
    CREATE INDEX runs_running ON runs (server, queue) WHERE state = 'running';
    CREATE INDEX runs_held ON runs (turn) WHERE state = 'held';
    -- Every run that ends pays for it, so it is the only one: what ended in a queue is found by going through it.
    CREATE INDEX runs_ended ON runs (state, finished_at, queue) WHERE state IN ('aborted', 'failed', 'succeeded');
    CREATE INDEX runs_scheduled ON runs (schedule, scheduled_for) WHERE schedule IS NOT NULL;
    CREATE INDEX runs_overlapping ON runs (schedule, trigger)
        WHERE schedule IS NOT NULL AND state IN ('queued', 'running');
    CREATE INDEX runs_grouped ON runs (group_name, name) WHERE group_name IS NOT NULL;
    CREATE INDEX runs_in_open_group ON runs (group_name)
        WHERE group_name IS NOT NULL AND state IN ('queued', 'running');
    CREATE INDEX runs_with_code ON runs (code) WHERE code IS NOT NULL;
    CREATE INDEX runs_with_prerequisites ON runs (prerequisites, state, ready_at) WHERE prerequisites IS NOT NULL;
    -- The tags of its task, as written: a key alone, or KEY=VALUE.
    CREATE TABLE run_tags (
        tag TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        PRIMARY KEY (tag, run)
    ) WITHOUT ROWID;
    CREATE INDEX run_tags_by_run ON run_tags (run);
    -- An attempt has a row from its claim on.
    CREATE TABLE attempts (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        started_at REAL NOT NULL,
        finished_at REAL,
        exit_code INTEGER,
        signal INTEGER,
        reason TEXT,
        gpus TEXT,
        -- The resources that it used, where its executor could tell.
        cpu_seconds REAL,
        peak_memory INTEGER,
        oom_kills INTEGER,
        oom_kills_in_group INTEGER,
        python TEXT,
        -- Who runs it, and the handle by which that executor finds it again, once known.
        executor TEXT NOT NULL,
        handle TEXT,
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID;

    -- The first run of each line: so a claim costs the same however many wait, in one queue or in many.
    CREATE TABLE heads (
        queue TEXT NOT NULL,
        gpu_request TEXT NOT NULL,
        priority INTEGER NOT NULL,
        turn NUMERIC NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (queue, gpu_request)
    ) WITHOUT ROWID;
    CREATE INDEX heads_in_order ON heads (gpu_request, priority, turn, run, queue);
    CREATE TRIGGER run_comes AFTER INSERT ON runs WHEN NEW.state = 'queued' AND NEW.ready_at IS NULL
    BEGIN
        INSERT INTO heads (queue, gpu_request, priority, turn, run)
            VALUES (NEW.queue, NEW.gpu_request, NEW.priority, NEW.turn, NEW.id)
            ON CONFLICT (queue, gpu_request) DO UPDATE
            SET priority = excluded.priority, turn = excluded.turn, run = excluded.run
            WHERE (excluded.priority, excluded.turn, excluded.run) < (priority, turn, run);
    END;
    CREATE TRIGGER run_comes_back AFTER UPDATE OF state, ready_at ON runs
        WHEN NEW.state = 'queued' AND NEW.ready_at IS NULL
    BEGIN
        INSERT INTO heads (queue, gpu_request, priority, turn, run)
            VALUES (NEW.queue, NEW.gpu_request, NEW.priority, NEW.turn, NEW.id)
            ON CONFLICT (queue, gpu_request) DO UPDATE
            SET priority = excluded.priority, turn = excluded.turn, run = excluded.run
            WHERE (excluded.priority, excluded.turn, excluded.run) < (priority, turn, run);
    END;
    -- The next head is searched for only where the line has lost its head.
    CREATE TRIGGER run_goes AFTER UPDATE OF state, ready_at ON runs
        WHEN OLD.state = 'queued' AND OLD.ready_at IS NULL
            AND (NEW.state <> 'queued' OR NEW.ready_at IS NOT NULL)
    BEGIN
        DELETE FROM heads WHERE queue = OLD.queue AND gpu_request = OLD.gpu_request AND run = OLD.id;
        INSERT INTO heads (queue, gpu_request, priority, turn, run)
            SELECT queue, gpu_request, priority, turn, id
            FROM (SELECT 1 WHERE NOT EXISTS (
                SELECT 1 FROM heads WHERE queue = OLD.queue AND gpu_request = OLD.gpu_request
            )) CROSS JOIN runs
            WHERE queue = OLD.queue AND gpu_request = OLD.gpu_request AND state = 'queued' AND ready_at IS NULL
            ORDER BY priority, turn, id LIMIT 1;
    END;
    CREATE TABLE pauses (queue TEXT PRIMARY KEY) WITHOUT ROWID;

    -- A set of runs that others come after. All runs of a task share one set, so two large sweeps do not need a
    -- row for each pair of their runs. `unmet` counts the runs of the set that are not over.
    CREATE TABLE prerequisites (
        id INTEGER PRIMARY KEY,
        after_any INTEGER NOT NULL,
        unmet INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE prerequisite_runs (
        prerequisites INTEGER NOT NULL REFERENCES prerequisites (id) ON DELETE CASCADE,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        PRIMARY KEY (prerequisites, run)
    ) WITHOUT ROWID;
    CREATE INDEX prerequisite_runs_by_run ON prerequisite_runs (run);

    CREATE TABLE servers (
        id TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        boot TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        started_at REAL NOT NULL,
        heartbeat_at REAL NOT NULL,
        queues TEXT,
        log TEXT,
        -- Requests of others to a server; it writes the rest of its row itself.
        wanted_at REAL NOT NULL DEFAULT 0,
        leaving TEXT,
        raised_to INTEGER NOT NULL DEFAULT 0,
        stays_for REAL NOT NULL DEFAULT 0,
        disabled_by TEXT,
        -- The GPUs that it may use, and its last reading of them.
        owns TEXT NOT NULL DEFAULT '[]',
        reading TEXT,
        -- The GPUs it reserves for runs that wait, so that other servers do not give them away.
        reservations TEXT
    ) WITHOUT ROWID;
    -- When each GPU was last given back.
    CREATE TABLE gpus (key TEXT PRIMARY KEY, freed_at REAL NOT NULL) WITHOUT ROWID;
    -- Seconds by which the wall clock was ahead of the time since that boot when a server last read it. If that
    -- has changed, the wall clock was set, and the times of queued and running runs are moved with it.
    CREATE TABLE clock (
        boot TEXT NOT NULL,
        ahead REAL NOT NULL
    );

    -- When old runs were last removed by a server: one row at most.
    CREATE TABLE history (pruned_at REAL NOT NULL);

    CREATE TABLE schedules (
        name TEXT PRIMARY KEY,
        -- Its file, within the folder; null once it has ended.
        file TEXT,
        schedule TEXT NOT NULL,
        handled_until REAL NOT NULL,
        -- When its present version came into force: no time before that was missed, even if the clock is set back.
        counts_from REAL NOT NULL,
        -- Null while it is paused, and once it is never due again.
        next_due REAL,
        -- The beginning and the end of the period whose missed times are to be decided about.
        missed_after REAL,
        missed_at REAL,
        missed INTEGER NOT NULL DEFAULT 0,
        paused INTEGER NOT NULL DEFAULT 0,
        -- The error in the file as it is now.
        error TEXT
    ) WITHOUT ROWID;
    CREATE INDEX schedules_due ON schedules (next_due) WHERE next_due IS NOT NULL;
    CREATE INDEX schedules_missed ON schedules (missed_at) WHERE missed_at IS NOT NULL AND paused = 0;
    CREATE INDEX schedules_handled ON schedules (handled_until);
    CREATE INDEX schedules_paused ON schedules (name) WHERE paused = 1;
    CREATE INDEX schedules_in_file ON schedules (file);

    -- The references that keep code from git's garbage collection. Each has a row before it is in its repository,
    -- and until it is gone from there; without `used_at` it is about to be removed.
    CREATE TABLE snapshots (
        ref TEXT PRIMARY KEY,
        repository TEXT NOT NULL,
        code TEXT NOT NULL,
        used_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX snapshots_by_code ON snapshots (code, repository);

    -- Messages to targets. One that was sent stays for an hour, because there is a limit for each hour. One that
    -- was given up has neither `sent_at` nor `due_at`.
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        message TEXT NOT NULL,
        created_at REAL NOT NULL,
        due_at REAL,
        tries INTEGER NOT NULL DEFAULT 0,
        -- The server that is sending it.
        claimed_by TEXT,
        sent_at REAL,
        error TEXT
    );
    CREATE INDEX outbox_pending ON outbox (id) WHERE due_at IS NOT NULL;
    CREATE INDEX outbox_sent ON outbox (target, sent_at) WHERE sent_at IS NOT NULL;
    -- Groups with a run whose end somebody is told of together with the others: those that end from `since` on.
    CREATE TABLE watched_groups (name TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
    -- Runs and groups that failed the last time, as far as somebody is told of recoveries.
    CREATE TABLE failing (unit TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
    """,
)
"""The scripts from each version to the next; a released script never changes."""
