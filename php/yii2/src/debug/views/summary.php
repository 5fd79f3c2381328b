<?php

declare(strict_types=1);

use PushGateway\Yii2\Translation;
use yii\helpers\Html;

/** @var PushGateway\Yii2\debug\GatewayPanel $panel */
/** @var array{count: int, failures: int, seconds: float} $data */

if ($data['count'] === 0) {
    return;
}
$kind = $data['failures'] === 0 ? 'info' : 'error';
$title = Translation::t('{n} calls of the gateway in {ms} ms, {failures} failed', [
    'n' => $data['count'],
    'ms' => sprintf('%.1f', $data['seconds'] * 1000),
    'failures' => $data['failures'],
]);
?>
<div class="yii-debug-toolbar__block">
    <a href="<?= Html::encode($panel->getUrl()) ?>" title="<?= Html::encode($title) ?>">
        <?= Html::encode($panel->getName()) ?>
        <span class="yii-debug-toolbar__label yii-debug-toolbar__label_<?= $kind ?>"><?= $data['count'] ?></span>
        <span class="yii-debug-toolbar__label"><?= sprintf('%.1f ms', $data['seconds'] * 1000) ?></span>
    </a>
</div>
