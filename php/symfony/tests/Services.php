<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Tests;

use PushGateway\GatewayInterface;
use Symfony\Component\EventDispatcher\EventDispatcherInterface;
use Symfony\Component\Notifier\ChatterInterface;
use Symfony\Component\Notifier\NotifierInterface;
use Symfony\Component\Notifier\TexterInterface;

/** What a service of an application wants. */
final class Services
{
    public function __construct(
        public readonly GatewayInterface $gateway,
        public readonly TexterInterface $texter,
        public readonly ChatterInterface $chatter,
        public readonly NotifierInterface $notifier,
        public readonly EventDispatcherInterface $events,
    ) {
    }
}
