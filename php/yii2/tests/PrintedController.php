<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\console\GatewayController;

/** The commands of the package, which keep what they print and what they ask. */
final class PrintedController extends GatewayController
{
    public string $printed = '';

    /** @var list<string> */
    public array $asked = [];

    /** The answer to all that is asked. */
    public bool $agrees = false;

    public function stdout($string): int
    {
        $this->printed .= $string;
        return strlen($string);
    }

    public function stderr($string): int
    {
        return $this->stdout($string);
    }

    public function confirm($message, $default = false): bool
    {
        if (!$this->interactive) {
            return parent::confirm($message, $default);
        }
        $this->asked[] = $message;
        return $this->agrees;
    }
}
