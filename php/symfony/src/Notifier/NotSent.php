<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Notifier;

use Symfony\Component\Notifier\Exception\TransportExceptionInterface;

/** A message of Notifier that the gateway has not taken. */
final class NotSent extends \RuntimeException implements TransportExceptionInterface
{
    public function getDebug(): string
    {
        return $this->getMessage();
    }
}
