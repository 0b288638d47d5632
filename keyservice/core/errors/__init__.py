# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything that can go wrong and that a person is told about: a row each.

A row has a stable name (``ErrorName``: on the bus, in frames, in ``--json``), the PAM code and the
exit status that it ends in, and the text for people: what failed, and what they can do next. The
facts tell what is special about one case: which ukey, file or user. No field ever holds a PIN.
"""

from __future__ import annotations

from .base import UkeyError as UkeyError
from .base import named as named
from .factors import FactorMissing as FactorMissing
from .factors import SshKeyUnregistered as SshKeyUnregistered
from .factors import UkeyMissing as UkeyMissing
from .pins import AdminPinLocked as AdminPinLocked
from .pins import AdminPinWrong as AdminPinWrong
from .pins import AdminTryWithheld as AdminTryWithheld
from .pins import DefaultPin as DefaultPin
from .pins import ManagementKeyWrong as ManagementKeyWrong
from .pins import PinLocked as PinLocked
from .pins import PinRefused as PinRefused
from .pins import PinsDiffer as PinsDiffer
from .pins import PinSimple as PinSimple
from .pins import PinUnchanged as PinUnchanged
from .pins import PinWrong as PinWrong
from .pins import Throttled as Throttled
from .pins import TryWithheld as TryWithheld
from .records import AlgorithmRefused as AlgorithmRefused
from .records import AlreadyBound as AlreadyBound
from .records import HalfUnbound as HalfUnbound
from .records import KeyTaken as KeyTaken
from .records import NoneFree as NoneFree
from .records import NotAllRevoked as NotAllRevoked
from .records import NotBound as NotBound
from .records import NotEnrolled as NotEnrolled
from .records import NotRevoked as NotRevoked
from .records import RecordDamaged as RecordDamaged
from .records import RecordForeign as RecordForeign
from .records import RecordsUnclear as RecordsUnclear
from .records import RemovalLate as RemovalLate
from .records import Revoked as Revoked
from .records import SerialTaken as SerialTaken
from .records import SshAlgorithmRefused as SshAlgorithmRefused
from .records import StoreFailed as StoreFailed
from .records import UidShared as UidShared
from .records import UkeysEnough as UkeysEnough
from .records import UnknownUser as UnknownUser
from .sessions import BadRequest as BadRequest
from .sessions import Busy as Busy
from .sessions import Cancelled as Cancelled
from .sessions import ChangeLate as ChangeLate
from .sessions import ConfigurationError as ConfigurationError
from .sessions import CryptoMissing as CryptoMissing
from .sessions import DeadlinePassed as DeadlinePassed
from .sessions import HostBusy as HostBusy
from .sessions import LookUpLate as LookUpLate
from .sessions import NoSession as NoSession
from .sessions import NotAllowed as NotAllowed
from .sessions import PlaceLeft as PlaceLeft
from .sessions import PlaceOfService as PlaceOfService
from .sessions import PlaceUnknown as PlaceUnknown
from .sessions import RemoteRefused as RemoteRefused
from .sessions import SessionUnproven as SessionUnproven
from .sessions import TickMissed as TickMissed
from .sessions import UkeyMute as UkeyMute
from .ssh import SshKeyAbsent as SshKeyAbsent
from .ssh import SshKeyKind as SshKeyKind
from .ssh import SshKeyMissing as SshKeyMissing
from .ssh import SshKeyOthers as SshKeyOthers
from .ssh import SshKeyRefused as SshKeyRefused
from .ssh import SshKeyRevoked as SshKeyRevoked
from .ssh import SshKeyUntold as SshKeyUntold
from .ukeys import KeyMismatch as KeyMismatch
from .ukeys import NoKeyPair as NoKeyPair
from .ukeys import NoneMadeHere as NoneMadeHere
from .ukeys import NotAttested as NotAttested
from .ukeys import NotOnUkey as NotOnUkey
from .ukeys import NotTouched as NotTouched
from .ukeys import PcscdAbsent as PcscdAbsent
from .ukeys import ReaderAbsent as ReaderAbsent
from .ukeys import ReaderRefused as ReaderRefused
from .ukeys import SeenTwice as SeenTwice
from .ukeys import SerialShared as SerialShared
from .ukeys import SerialTwice as SerialTwice
from .ukeys import SignatureWrong as SignatureWrong
from .ukeys import TryLimitTooHigh as TryLimitTooHigh
from .ukeys import UkeyAbsent as UkeyAbsent
from .ukeys import UkeyAmbiguous as UkeyAmbiguous
from .ukeys import UkeyFailed as UkeyFailed
from .ukeys import UkeyHeld as UkeyHeld
from .ukeys import UkeyRemoved as UkeyRemoved
from .ukeys import UkeyRestarted as UkeyRestarted
from .ukeys import UkeysAbsent as UkeysAbsent
from .ukeys import UkeysInserted as UkeysInserted
from .ukeys import UkeyUnknown as UkeyUnknown
