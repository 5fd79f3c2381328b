<?php

declare(strict_types=1);

use PushGateway\Yii2\GatewayWidget;
use yii\helpers\Html;
use yii\helpers\Url;

/** @var yii\web\View $this */
/** @var array<string, mixed> $client settings of the widget */
/** @var string $console how the console is run */

$user = Yii::$app->user->identity;
?>
<h1>What is pushed</h1>
<p>
    <?= $user ? 'You are ' . Html::tag('b', Html::encode($user->username), ['id' => 'whoami']) : 'You are nobody: '
        . Html::a('log in', Url::home()) ?>,
    <?= GatewayWidget::widget($client + [
        'showState' => true,
        'on' => ['*' => 'show'],
    ]) ?>.
    Messages so far: <b id="count">0</b>
</p>
<p>Push something: <code><?= Html::encode("$console gateway/send '" . '{"type":"hello","text":"Good morning"}' . "' --all") ?></code></p>
<ol id="pushed"></ol>
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
