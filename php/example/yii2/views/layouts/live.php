<?php

declare(strict_types=1);

use app\assets\LiveAsset;
use yii\helpers\Html;

/** @var yii\web\View $this */
/** @var string $content */

LiveAsset::register($this);
$this->registerMetaTag(['name' => 'viewport', 'content' => 'width=device-width']);
$this->registerLinkTag(['rel' => 'icon', 'href' => 'data:,']);
?>
<?php $this->beginPage() ?>
<!DOCTYPE html>
<html lang="<?= Html::encode(Yii::$app->language) ?>">
<head>
    <meta charset="utf-8">
    <title><?= Html::encode(Yii::$app->name) ?></title>
    <?php $this->head() ?>

</head>
<body>
<?php $this->beginBody() ?>
<?= $content ?>
<?php $this->endBody() ?>

</body>
</html>
<?php $this->endPage() ?>
