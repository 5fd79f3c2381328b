<?php

declare(strict_types=1);

return [
    'log in' => '登录',
    'Messages' => '消息',
    'Nobody is logged in.' => '尚未登录。',
    'Push something' => '推送一条消息',
    'Pushed to this page' => '推送到本页面的消息',
    'Run this in a shell:' => '在终端执行：',
    'Good morning' => '早上好',
];
