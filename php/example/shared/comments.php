<?php

declare(strict_types=1);

/** @var bool $isGuest */
/** @var string $loginUrl */
/** @var string $commentUrl */
/** @var string $csrf the form field with the CSRF token, as HTML */
/** @var array<int, string> $users usernames by id */
/** @var list<array{createdAt: string, author: string, receiver: string, content: string}> $comments */

use function example\escape;

$options = '';
foreach ($users as $id => $name) {
    $options .= "<option value=\"$id\">" . escape($name) . '</option>';
}
?>
<?php if ($isGuest): ?>
    <section>
        <h2>Who are you?</h2>
        <form id="login-form" action="<?= escape($loginUrl) ?>" method="post">
            <?= $csrf ?>
            <label>User <select id="user" name="user"><?= $options ?></select></label>
            <button id="login">Log in</button>
        </form>
    </section>
    <?php return ?>
<?php endif ?>
<section>
    <h2>Write a comment</h2>
    <form id="comment-form" action="<?= escape($commentUrl) ?>" method="post">
        <?= $csrf ?>
        <label>To <select id="receiver" name="receiverId"><?= $options ?></select></label>
        <label>Comment <textarea id="content" name="content" maxlength="1000" required></textarea></label>
        <button id="send">Send</button>
    </form>
</section>
<section>
    <h2>Comments to you and by you</h2>
    <ul id="comments">
        <?php foreach ($comments as $comment): ?>
            <li>
                <time><?= escape($comment['createdAt']) ?> UTC</time>
                <b><?= escape($comment['author']) ?></b> to <b><?= escape($comment['receiver']) ?></b>
                <p><?= escape($comment['content']) ?></p>
            </li>
        <?php endforeach ?>
    </ul>
</section>
