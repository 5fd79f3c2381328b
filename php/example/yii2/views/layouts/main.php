<?php

declare(strict_types=1);

use app\assets\DemoAsset;
use yii\helpers\Html;

use function example\missingExtension;

/** @var yii\web\View $this */
/** @var string $content */

DemoAsset::register($this);
$this->registerCsrfMetaTags();
$this->registerMetaTag(['name' => 'viewport', 'content' => 'width=device-width']);
$this->registerLinkTag(['rel' => 'icon', 'href' => 'data:,']);
$this->render('_push');
$user = Yii::$app->user->identity;
?>
<?php $this->beginPage() ?>
<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <title><?= Html::encode(Yii::$app->name) ?></title>
    <?php $this->head() ?>

</head>
<body>
<?php $this->beginBody() ?>
<header>
    <h1><?= Html::encode(Yii::$app->name) ?> <small>on Yii2</small></h1>
    <span id="live" data-state="connecting" role="status">connecting</span>
    <span>messages <b id="message-count">0</b></span>
    <?php if ($user): ?>
        <b id="whoami"><?= Html::encode($user->username) ?></b>
        <?= Html::beginForm(['site/logout']) ?>
            <button id="logout">log out</button>
        <?= Html::endForm() ?>
    <?php endif ?>
</header>
<main>
    <?php if ($missing = missingExtension()): ?>
        <p class="missing"><?= Html::encode($missing) ?></p>
    <?php endif ?>
    <?php foreach (Yii::$app->session->getAllFlashes() as $kind => $text): ?>
        <p class="flash <?= Html::encode($kind) ?>"><?= Html::encode($text) ?></p>
    <?php endforeach ?>
    <?= $content ?>
</main>
<?php $this->endBody() ?>

</body>
</html>
<?php $this->endPage() ?>
