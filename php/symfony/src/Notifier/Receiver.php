<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Notifier;

/** What the receiver of a message is. */
enum Receiver
{
    case Uid;
    case Group;
    case Client;
    case Everybody;
}
