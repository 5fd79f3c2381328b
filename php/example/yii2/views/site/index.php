<?php

declare(strict_types=1);

use yii\helpers\Html;

/** @var yii\web\View $this */
/** @var app\models\Comment $comment a new one */
/** @var app\models\Comment[] $comments */
/** @var array<int, string> $users */
?>
<?php if (Yii::$app->user->isGuest): ?>
    <section>
        <h2>Who are you?</h2>
        <?= Html::beginForm(['site/login'], 'post', ['id' => 'login-form']) ?>
            <label>User <?= Html::dropDownList('user', null, $users, ['id' => 'user']) ?></label>
            <button id="login">Log in</button>
        <?= Html::endForm() ?>
    </section>
    <?php return ?>
<?php endif ?>
<section>
    <h2>Write a comment</h2>
    <?= Html::beginForm(['site/comment'], 'post', ['id' => 'comment-form']) ?>
        <label>To <?= Html::activeDropDownList($comment, 'receiverId', $users, ['id' => 'receiver']) ?></label>
        <label>Comment <?= Html::activeTextarea($comment, 'content', ['id' => 'content', 'required' => true, 'maxlength' => true]) ?></label>
        <button id="send">Send</button>
    <?= Html::endForm() ?>
</section>
<section>
    <h2>Comments to you and by you</h2>
    <ul id="comments">
        <?php foreach ($comments as $each): ?>
            <li>
                <time><?= Html::encode($each->createdAt) ?> UTC</time>
                <b><?= Html::encode($each->author->username) ?></b> to <b><?= Html::encode($each->receiver->username) ?></b>
                <p><?= Html::encode($each->content) ?></p>
            </li>
        <?php endforeach ?>
    </ul>
</section>
