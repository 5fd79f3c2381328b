<?php

declare(strict_types=1);

use yii\helpers\Html;
use yii\helpers\Url;

use function example\render;

/** @var array<int, string> $users usernames by id */
/** @var app\models\Comment[] $comments */

$request = Yii::$app->request;
echo render('comments', [
    'isGuest' => Yii::$app->user->isGuest,
    'loginUrl' => Url::to(['site/login']),
    'commentUrl' => Url::to(['site/comment']),
    'csrf' => Html::hiddenInput($request->csrfParam, $request->csrfToken),
    'users' => $users,
    'comments' => array_map(fn ($comment) => [
        'createdAt' => $comment->createdAt,
        'author' => $comment->author->username,
        'receiver' => $comment->receiver->username,
        'content' => $comment->content,
    ], $comments),
]);
