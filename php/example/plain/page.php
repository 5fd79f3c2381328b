<?php

declare(strict_types=1);

/** @var ?array{id: int, username: string} $user who is logged in */
/** @var array<int, string> $users usernames by id */
/** @var list<array<string, string>> $comments */
/** @var ?array{string, string} $flash kind and text */

use function example\render;

$csrf = '<input type="hidden" name="csrf" value="' . token() . '">';
$content = render('comments', [
    'isGuest' => $user === null,
    'loginUrl' => '/login',
    'commentUrl' => '/comment',
    'csrf' => $csrf,
    'users' => $users,
    'comments' => $comments,
]);
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
<?= render('frame', [
    'framework' => 'in plain PHP',
    'username' => $user['username'] ?? null,
    'logoutUrl' => '/logout',
    'csrf' => $csrf,
    'flashes' => $flash === null ? [] : [$flash],
    'content' => $content,
]) ?>
<script src="/jquery.min.js"></script>
<script src="/csrf.js"></script>
<script src="/demo.js"></script>
<script>
<?php
$guest = $user ? 'false' : 'true';
$bindUidUrl = '/bind-uid';
echo require __DIR__ . '/../shared/push.php';
?>

</script>
</body>
</html>
