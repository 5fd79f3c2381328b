<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PushGateway\Yii2\console\GatewayController;

/** The commands of the package, which keep what they print. */
final class PrintedController extends GatewayController
{
    public string $printed = '';

    public function stdout($string): int
    {
        $this->printed .= $string;
        return strlen($string);
    }

    public function stderr($string): int
    {
        return $this->stdout($string);
    }
}
