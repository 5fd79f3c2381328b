<?php

declare(strict_types=1);

use PushGateway\Yii2\Translation;
use yii\helpers\Html;

/** @var PushGateway\Yii2\debug\GatewayPanel $panel */
/** @var array{calls: list<array{method: string, to: ?string, bytes: ?int, seconds: float, error: ?string}>, count: int, failures: int, seconds: float} $data */

$everybody = Translation::t('everybody');
?>
<h1><?= Html::encode($panel->getName()) ?></h1>
<p>
    <?= Html::encode(Translation::t('{n} calls of the gateway in {ms} ms, {failures} failed', [
        'n' => $data['count'],
        'ms' => sprintf('%.1f', $data['seconds'] * 1000),
        'failures' => $data['failures'],
    ])) ?>
</p>
<?php if ($data['calls'] === []) : ?>
    <?php return ?>
<?php endif ?>
<div class="table-responsive">
    <table class="table table-condensed table-bordered table-striped table-hover" id="gateway-calls">
        <thead>
            <tr>
                <th><?= Html::encode(Translation::t('Method')) ?></th>
                <th><?= Html::encode(Translation::t('Receivers')) ?></th>
                <th><?= Html::encode(Translation::t('Bytes')) ?></th>
                <th><?= Html::encode(Translation::t('Time')) ?></th>
                <th><?= Html::encode(Translation::t('Failure')) ?></th>
            </tr>
        </thead>
        <tbody>
            <?php foreach ($data['calls'] as $call) : ?>
                <tr<?= $call['error'] === null ? '' : ' class="table-danger"' ?>>
                    <td><?= Html::encode($call['method']) ?></td>
                    <td><?= Html::encode($call['to'] ?? ($call['method'] === 'sendToAll' ? $everybody : '')) ?></td>
                    <td><?= $call['bytes'] === null ? '' : number_format($call['bytes']) ?></td>
                    <td><?= sprintf('%.2f ms', $call['seconds'] * 1000) ?></td>
                    <td><?= Html::encode((string) $call['error']) ?></td>
                </tr>
            <?php endforeach ?>
        </tbody>
    </table>
</div>
<?php if ($data['count'] > count($data['calls'])) : ?>
    <p><?= Html::encode(Translation::t('Only the first {n} are shown.', ['n' => count($data['calls'])])) ?></p>
<?php endif ?>
