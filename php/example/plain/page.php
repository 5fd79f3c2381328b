<?php

declare(strict_types=1);

/** @var ?array{id: int, username: string} $user who is logged in */
/** @var array<int, string> $users */
/** @var array<string, string>[] $comments */
/** @var ?array{string, string} $flash */
/** @var ?string $missing */

$e = static fn (string $text): string => htmlspecialchars($text);
$csrf = '<input type="hidden" name="csrf" value="' . token() . '">';
$options = '';
foreach ($users as $id => $name) {
    $options .= "<option value=\"$id\">{$e($name)}</option>";
}
?>
<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <title>Push gateway</title>
    <meta name="viewport" content="width=device-width">
    <meta name="csrf-token" content="<?= token() ?>">
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/demo.css">
</head>
<body>
<header>
    <h1>Push gateway <small>in plain PHP</small></h1>
    <span id="live" data-state="connecting" role="status">connecting</span>
    <span>messages <b id="message-count">0</b></span>
    <?php if ($user): ?>
        <b id="whoami"><?= $e($user['username']) ?></b>
        <form action="/logout" method="post"><?= $csrf ?><button id="logout">log out</button></form>
    <?php endif ?>
</header>
<main>
    <?php if ($missing): ?>
        <p class="missing"><?= $e($missing) ?></p>
    <?php endif ?>
    <?php if ($flash): ?>
        <p class="flash <?= $e($flash[0]) ?>"><?= $e($flash[1]) ?></p>
    <?php endif ?>
    <?php if (!$user): ?>
        <section>
            <h2>Who are you?</h2>
            <form id="login-form" action="/login" method="post">
                <?= $csrf ?>
                <label>User <select id="user" name="user"><?= $options ?></select></label>
                <button id="login">Log in</button>
            </form>
        </section>
    <?php else: ?>
        <section>
            <h2>Write a comment</h2>
            <form id="comment-form" action="/comment" method="post">
                <?= $csrf ?>
                <label>To <select id="receiver" name="receiver"><?= $options ?></select></label>
                <label>Comment <textarea id="content" name="content" maxlength="1000" required></textarea></label>
                <button id="send">Send</button>
            </form>
        </section>
        <section>
            <h2>Comments to you and by you</h2>
            <ul id="comments">
                <?php foreach ($comments as $comment): ?>
                    <li>
                        <time><?= $e($comment['createdAt']) ?> UTC</time>
                        <b><?= $e($comment['author']) ?></b> to <b><?= $e($comment['receiver']) ?></b>
                        <p><?= $e($comment['content']) ?></p>
                    </li>
                <?php endforeach ?>
            </ul>
        </section>
    <?php endif ?>
</main>
<script src="/jquery.min.js"></script>
<script src="/csrf.js"></script>
<script src="/demo.js"></script>
<?php require __DIR__ . '/push.php' ?>
</body>
</html>
