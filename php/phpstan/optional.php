<?php

declare(strict_types=1);

// A class that an application may have, and that this package uses only where it is installed.

namespace yii\redis;

class Connection extends \yii\base\Component
{
    public function close(): void
    {
    }
}
