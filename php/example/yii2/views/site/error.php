<?php

declare(strict_types=1);

use yii\helpers\Html;

/** @var string $name */
/** @var string $message */
?>
<section>
    <h2><?= Html::encode($name) ?></h2>
    <p><?= Html::encode($message) ?></p>
    <p><a href="/">Back</a></p>
</section>
