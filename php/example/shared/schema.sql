-- Run by every worker that finds user_version 0: the lock lets one in, the others then change nothing.
BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS user (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS comment (
    id INTEGER PRIMARY KEY,
    authorId INTEGER NOT NULL REFERENCES user,
    receiverId INTEGER NOT NULL REFERENCES user,
    content TEXT NOT NULL,
    createdAt TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

INSERT OR IGNORE INTO user (id, username) VALUES (1, 'alice'), (2, 'bob'), (3, 'carol');

PRAGMA user_version = 1;
COMMIT;
