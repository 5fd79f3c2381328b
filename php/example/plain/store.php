<?php

declare(strict_types=1);

// The users and their comments are in a SQLite database.

function database(): PDO
{
    static $pdo;
    if (!$pdo) {
        $pdo = new PDO('sqlite:' . example\dataDirectory('plain') . '/demo.sqlite');
        example\prepareDatabase($pdo);
    }

    return $pdo;
}

/** @return array<int, string> usernames by id */
function users(): array
{
    return database()->query('SELECT id, username FROM user ORDER BY id')->fetchAll(PDO::FETCH_KEY_PAIR);
}

function addComment(int $authorId, int $receiverId, string $content): void
{
    database()
        ->prepare('INSERT INTO comment (authorId, receiverId, content) VALUES (?, ?, ?)')
        ->execute([$authorId, $receiverId, $content]);
}

/** @return list<array<string, string>> the last ones that the user sent or received, newest first */
function comments(int $userId): array
{
    $select = database()->prepare(
        'SELECT a.username AS author, r.username AS receiver, content, createdAt
           FROM comment
           JOIN user a ON a.id = authorId
           JOIN user r ON r.id = receiverId
          WHERE authorId = :id OR receiverId = :id
          ORDER BY comment.id DESC
          LIMIT 50'
    );
    $select->execute(['id' => $userId]);

    return $select->fetchAll(PDO::FETCH_ASSOC);
}
