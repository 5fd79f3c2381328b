<?php

declare(strict_types=1);

use app\assets\DemoAsset;
use yii\helpers\Html;
use yii\helpers\Url;

use function example\render;

/** @var yii\web\View $this */
/** @var string $content */

DemoAsset::register($this);
$this->registerCsrfMetaTags();
$this->registerMetaTag(['name' => 'viewport', 'content' => 'width=device-width']);
$this->registerLinkTag(['rel' => 'icon', 'href' => 'data:,']);
$request = Yii::$app->request;
$user = Yii::$app->user->identity;
$guest = $user === null ? 'true' : 'false';
$bindUidUrl = Url::to(['site/bind-uid']);
$this->registerJs(require dirname(__DIR__, 3) . '/shared/push.php');
$flashes = Yii::$app->session->getAllFlashes();
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
<?= render('frame', [
    'framework' => 'on Yii2',
    'username' => $user?->username,
    'logoutUrl' => Url::to(['site/logout']),
    'csrf' => Html::hiddenInput($request->csrfParam, $request->csrfToken),
    'flashes' => array_map(null, array_keys($flashes), array_values($flashes)),
    'content' => $content,
]) ?>
<?php $this->endBody() ?>

</body>
</html>
<?php $this->endPage() ?>
