<?php

declare(strict_types=1);

/** @var string $framework what the page runs on */
/** @var ?string $username null for a guest */
/** @var string $logoutUrl */
/** @var string $csrf the form field with the CSRF token, as HTML */
/** @var list<array{string, string}> $flashes kind and text of each */
/** @var string $content HTML */

use function example\escape;
use function example\missingExtension;

$missing = missingExtension();
?>
<header>
    <h1>Push gateway <small><?= escape($framework) ?></small></h1>
    <span id="live" data-state="connecting" role="status">connecting</span>
    <span>messages <b id="message-count">0</b></span>
    <?php if ($username !== null): ?>
        <b id="whoami"><?= escape($username) ?></b>
        <form action="<?= escape($logoutUrl) ?>" method="post"><?= $csrf ?><button id="logout">log out</button></form>
    <?php endif ?>
</header>
<main>
    <?php if ($missing): ?>
        <p class="missing"><?= escape($missing) ?></p>
    <?php endif ?>
    <?php foreach ($flashes as [$kind, $text]): ?>
        <p class="flash <?= escape($kind) ?>"><?= escape($text) ?></p>
    <?php endforeach ?>
    <?= $content ?>
</main>
