<?php

/** @var Exception $exception */
?>
<pre><?= yii\helpers\Html::encode((string) $exception) ?></pre>
