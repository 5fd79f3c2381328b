<?php

declare(strict_types=1);

// What an application may have, and this package knows by its name only.

namespace yii\redis;

class Connection extends \yii\base\Component
{
    public function close(): void
    {
    }
}
