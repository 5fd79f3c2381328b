<?php

declare(strict_types=1);

use PushGateway\Yii2\GatewayWidget;
use yii\helpers\Html;
use yii\helpers\Url;

/** @var yii\web\View $this */
/** @var array<string, mixed> $client settings of the widget */
/** @var string $console how the console is run */

$user = Yii::$app->user->identity;
$message = ['type' => 'hello', 'text' => Yii::t('app', 'Good morning')];
$command = "$console gateway/send '" . json_encode($message, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR) . "' --all";
?>
<header>
    <h1>Push gateway <small>GatewayWidget</small></h1>
    <?= GatewayWidget::widget($client + [
        'showState' => true,
        'on' => ['*' => 'show'],
    ]) ?>

    <span><?= Html::encode(Yii::t('app', 'Messages')) ?> <b id="count">0</b></span>
    <?php if ($user !== null): ?>
        <?= Html::tag('b', Html::encode($user->username), ['id' => 'whoami']) ?>

    <?php endif ?>
</header>
<main>
    <?php if ($user === null): ?>
        <p class="flash warning">
            <?= Html::encode(Yii::t('app', 'Nobody is logged in.')) ?> <?= Html::a(Html::encode(Yii::t('app', 'log in')), Url::home()) ?>
        </p>
    <?php endif ?>
    <section>
        <h2><?= Html::encode(Yii::t('app', 'Push something')) ?></h2>
        <p><?= Html::encode(Yii::t('app', 'Run this in a shell:')) ?></p>
        <p><code><?= Html::encode($command) ?></code></p>
    </section>
    <section>
        <h2><?= Html::encode(Yii::t('app', 'Pushed to this page')) ?></h2>
        <ol id="pushed"></ol>
    </section>
</main>
<script>
function show({type, text}) {
    if (type !== 'init') {
        const line = document.createElement('li');
        line.textContent = `${type}: ${text}`;
        document.getElementById('pushed').append(line);
        const count = document.getElementById('count');
        count.textContent = Number(count.textContent) + 1;
    }
}
</script>
