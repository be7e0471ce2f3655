-- A ledger of version 1, the first there was, of a home with one app and two runs.
CREATE TABLE app (
    name TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE release (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    image TEXT NOT NULL,
    plan TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (app, number)
);
CREATE TABLE run (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    release INTEGER,
    options TEXT NOT NULL,
    state TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    seconds TEXT NOT NULL,
    slaves INTEGER NOT NULL,
    np INTEGER NOT NULL,
    service INTEGER NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (app, number),
    FOREIGN KEY (app, release) REFERENCES release(app, number)
);
INSERT INTO app VALUES('echo', '{"strict": true}', '2026-11-20T09:55:54.840+00:00');
INSERT INTO release VALUES('echo', 1, 'COMMIT_ID',
    'IMAGE',
    '{"built_by":"","env":[],"lands_first":false,"languages":[],"manifest":null,"pack":null,"packages":[],"processes":[{"command":"echo fine","name":"app"}],"products":[],"run_by":"profile","stack":"plain","steps":[]}',
    '2026-11-20T09:55:57.001+00:00');
INSERT INTO run VALUES('echo', 1, 'COMMIT_ID', 1, '{}', 'succeeded', 0, '',
    '{"check": 0.07, "build": 0.99, "slaves": 0.84, "run": 0.86}', 1, 0, 0, '2026-11-20T09:55:56.878+00:00');
INSERT INTO run VALUES('echo', 2, 'COMMIT_ID', 1, '{"timeout": "60s"}', 'failed', 3, '',
    '{"check": 0.07, "run": 0.5}', 1, 0, 0, '2026-11-21T09:55:56.878+00:00');
PRAGMA user_version = 1;
